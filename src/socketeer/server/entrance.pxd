from socketeer.engine.timers cimport Patience
from socketeer.messaging.connection cimport Connection

cdef object CONNECT

cdef class Entrance:
    cdef public object _house, _unknown
    cdef public dict _namespaces
    cdef public double _patience
    cdef public Patience _idle

    cdef _connect(self, Connection connection, nsp, data)
