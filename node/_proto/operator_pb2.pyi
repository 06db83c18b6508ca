from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CardReply(_message.Message):
    __slots__ = ("card",)
    CARD_FIELD_NUMBER: _ClassVar[int]
    card: bytes
    def __init__(self, card: _Optional[bytes] = ...) -> None: ...

class Passphrase(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class CardPresented(_message.Message):
    __slots__ = ("card", "endorsement")
    CARD_FIELD_NUMBER: _ClassVar[int]
    ENDORSEMENT_FIELD_NUMBER: _ClassVar[int]
    card: bytes
    endorsement: bytes
    def __init__(self, card: _Optional[bytes] = ..., endorsement: _Optional[bytes] = ...) -> None: ...

class Json(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("topic", "arguments")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    arguments: str
    def __init__(self, topic: _Optional[str] = ..., arguments: _Optional[str] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("contract", "method", "payload", "wait", "timeout_seconds")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    contract: str
    method: str
    payload: bytes
    wait: bool
    timeout_seconds: float
    def __init__(self, contract: _Optional[str] = ..., method: _Optional[str] = ..., payload: _Optional[bytes] = ..., wait: _Optional[bool] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class Calls(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    def __init__(self, calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ...) -> None: ...

class Outcomes(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ...) -> None: ...

class JobQuery(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: bytes
    def __init__(self, job: _Optional[bytes] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("job", "data", "data_set", "basis")
    JOB_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DATA_SET_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    job: bytes
    data: str
    data_set: str
    basis: bytes
    def __init__(self, job: _Optional[bytes] = ..., data: _Optional[str] = ..., data_set: _Optional[str] = ..., basis: _Optional[bytes] = ...) -> None: ...

class FetchCall(_message.Message):
    __slots__ = ("data", "basis", "version")
    DATA_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    data: str
    basis: bytes
    version: int
    def __init__(self, data: _Optional[str] = ..., basis: _Optional[bytes] = ..., version: _Optional[int] = ...) -> None: ...

class RestoreCall(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class HaltCall(_message.Message):
    __slots__ = ("height", "off")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    height: int
    off: bool
    def __init__(self, height: _Optional[int] = ..., off: _Optional[bool] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("transaction", "final", "height", "accepted", "code", "reason", "notes")
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    transaction: bytes
    final: bool
    height: int
    accepted: bool
    code: str
    reason: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, transaction: _Optional[bytes] = ..., final: _Optional[bool] = ..., height: _Optional[int] = ..., accepted: _Optional[bool] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class BlockReceipts(_message.Message):
    __slots__ = ("height", "accepted", "refused")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    height: int
    accepted: _containers.RepeatedScalarFieldContainer[bytes]
    refused: int
    def __init__(self, height: _Optional[int] = ..., accepted: _Optional[_Iterable[bytes]] = ..., refused: _Optional[int] = ...) -> None: ...
