"""Every error of the mesh, with the code that travels on the wire and the exit status of `mesh`.

MeshError
├── UsageError              USAGE               2   the command line or configuration is wrong
├── ModelError                                  3
│   ├── InvalidModelError       INVALID_MODEL       the file is damaged or hostile
│   ├── UnsupportedModelError   UNSUPPORTED_MODEL   a sound file that cannot be run or cut
│   └── UnknownModelError       UNKNOWN_MODEL       no model of that name in the mesh
├── RequestError                                4
│   ├── EmptyPayloadError       EMPTY_PAYLOAD
│   ├── BadPayloadError         BAD_PAYLOAD         not JSON, not an image, not a tensor
│   ├── WrongShapeError         WRONG_SHAPE
│   ├── WrongDatatypeError      WRONG_DATATYPE
│   ├── TooLargeError           TOO_LARGE
│   └── BadTopicError           BAD_TOPIC           a reply topic that may not be used
├── ServiceError                                5   retryable: the same request may succeed later
│   ├── NoPlanError             NO_PLAN
│   ├── OverloadedError         OVERLOADED
│   ├── DeadlineExceededError   DEADLINE_EXCEEDED
│   ├── StaleEpochError         STALE_EPOCH
│   └── NodeLostError           NODE_LOST
├── InfeasibleError         INFEASIBLE          6   no plan meets the constraints
├── RuntimeFailureError                         7
│   ├── InvokeError             INVOKE_FAILED       the interpreter reported an error
│   ├── ChildDiedError          RUNTIME_CRASHED     the interpreter's process died; retryable
│   ├── ChildHungError          RUNTIME_TIMEOUT     … or did not answer by its deadline; retryable
│   └── GoldenMismatchError     WRONG_RESULT        the golden check found other numbers
├── TransportError                              8   retryable
│   ├── NotConnectedError       NOT_CONNECTED
│   └── BrokerError             BROKER_UNAVAILABLE
├── NoNodesError            NO_NODES            9   retryable: nobody answered the search
├── StoreError              STORE_FAILED       10   the disk or a fetch failed
│   └── IntegrityError          WRONG_CONTENT       bytes that do not hash to their content id
├── DeviceError             DEVICE             11   no runtime, a bad profile, a failed measurement
├── RemoteError             BAD_MESSAGE        12   a peer sent what the protocol does not allow
└── SessionError                               13   begin a new session
    ├── UnknownSessionError     UNKNOWN_SESSION     no such session at the node that was asked
    └── SessionLostError        SESSION_LOST        a step or its state is gone
"""

from typing import ClassVar


class MeshError(Exception):
    """The base of all: `str(error)` is one clear sentence that says what to do."""

    code: ClassVar[str] = "INTERNAL"
    exit_status: ClassVar[int] = 1
    retryable: ClassVar[bool] = False


class UsageError(MeshError):
    code = "USAGE"
    exit_status = 2


class ModelError(MeshError):
    code = "INVALID_MODEL"
    exit_status = 3


class InvalidModelError(ModelError):
    code = "INVALID_MODEL"


class UnsupportedModelError(ModelError):
    code = "UNSUPPORTED_MODEL"


class UnknownModelError(ModelError):
    code = "UNKNOWN_MODEL"


class RequestError(MeshError):
    code = "BAD_PAYLOAD"
    exit_status = 4


class EmptyPayloadError(RequestError):
    code = "EMPTY_PAYLOAD"


class BadPayloadError(RequestError):
    code = "BAD_PAYLOAD"


class WrongShapeError(RequestError):
    code = "WRONG_SHAPE"


class WrongDatatypeError(RequestError):
    code = "WRONG_DATATYPE"


class TooLargeError(RequestError):
    code = "TOO_LARGE"


class BadTopicError(RequestError):
    code = "BAD_TOPIC"


class ServiceError(MeshError):
    code = "UNAVAILABLE"
    exit_status = 5
    retryable = True


class NoPlanError(ServiceError):
    code = "NO_PLAN"


class OverloadedError(ServiceError):
    code = "OVERLOADED"


class DeadlineExceededError(ServiceError):
    code = "DEADLINE_EXCEEDED"


class StaleEpochError(ServiceError):
    code = "STALE_EPOCH"


class NodeLostError(ServiceError):
    code = "NODE_LOST"


class InfeasibleError(MeshError):
    code = "INFEASIBLE"
    exit_status = 6


class RuntimeFailureError(MeshError):
    code = "INVOKE_FAILED"
    exit_status = 7


class InvokeError(RuntimeFailureError):
    code = "INVOKE_FAILED"


class ChildDiedError(RuntimeFailureError):
    code = "RUNTIME_CRASHED"
    retryable = True


class ChildHungError(RuntimeFailureError):
    code = "RUNTIME_TIMEOUT"
    retryable = True


class GoldenMismatchError(RuntimeFailureError):
    code = "WRONG_RESULT"


class TransportError(MeshError):
    code = "TRANSPORT"
    exit_status = 8
    retryable = True


class NotConnectedError(TransportError):
    code = "NOT_CONNECTED"


class BrokerError(TransportError):
    code = "BROKER_UNAVAILABLE"


class NoNodesError(MeshError):
    code = "NO_NODES"
    exit_status = 9
    retryable = True


class StoreError(MeshError):
    code = "STORE_FAILED"
    exit_status = 10


class IntegrityError(StoreError):
    code = "WRONG_CONTENT"


class DeviceError(MeshError):
    code = "DEVICE"
    exit_status = 11


class RemoteError(MeshError):
    code = "BAD_MESSAGE"
    exit_status = 12


class SessionError(MeshError):
    code = "SESSION_LOST"
    exit_status = 13


class UnknownSessionError(SessionError):
    code = "UNKNOWN_SESSION"


class SessionLostError(SessionError):
    code = "SESSION_LOST"
