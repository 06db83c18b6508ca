from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("hello", "messages", "request", "credit", "cancel", "chunk", "end", "refusal")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    messages: Messages
    request: Request
    credit: Credit
    cancel: Cancel
    chunk: Chunk
    end: End
    refusal: Refusal
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., messages: _Optional[_Union[Messages, _Mapping]] = ..., request: _Optional[_Union[Request, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Messages(_message.Message):
    __slots__ = ("bodies", "sent_ms")
    BODIES_FIELD_NUMBER: _ClassVar[int]
    SENT_MS_FIELD_NUMBER: _ClassVar[int]
    bodies: _containers.RepeatedScalarFieldContainer[bytes]
    sent_ms: int
    def __init__(self, bodies: _Optional[_Iterable[bytes]] = ..., sent_ms: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version_lowest", "version_highest", "chain", "org", "instance", "software")
    VERSION_LOWEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_HIGHEST_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    ORG_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    version_lowest: int
    version_highest: int
    chain: bytes
    org: str
    instance: bytes
    software: str
    def __init__(self, version_lowest: _Optional[int] = ..., version_highest: _Optional[int] = ..., chain: _Optional[bytes] = ..., org: _Optional[str] = ..., instance: _Optional[bytes] = ..., software: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("number", "body")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    number: int
    body: bytes
    def __init__(self, number: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("number", "bytes")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    number: int
    bytes: int
    def __init__(self, number: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("number", "body")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    number: int
    body: bytes
    def __init__(self, number: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class End(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("number", "reason")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    number: int
    reason: str
    def __init__(self, number: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
