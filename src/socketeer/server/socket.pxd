from socketeer.messaging.connection cimport Connection
from socketeer.engine.session cimport Session
from socketeer.server.others cimport Others
from socketeer.messaging.dispatch cimport run_handler, run_only

cdef object log, JOINING, CONNECTED, LEAVING, DISCONNECTED, EVENT, ACK, DISCONNECT
cdef frozenset RESERVED_EVENTS, LOCAL_EVENTS

cdef class Socket(Others):
    cdef object __weakref__
    cdef public object _acks, _data, _drained, _life, handshake, recovered
    cdef public bint direct
    cdef public Session conn
    cdef public Connection _connection

    cpdef on_packet(self, packet)
    cpdef on_event(self, list args, object ack_id)
    cdef _dispatch(self, list args, object ack_id, object ack)
