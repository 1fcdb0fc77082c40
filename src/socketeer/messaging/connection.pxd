cimport cython

from socketeer.protocol.parser cimport event_at, event_payload

cdef object log, Packet, EVENT

cdef class Connection:
    cdef public object session, parser, closed
    cdef public dict sockets
    cdef public bint _common
    cdef public object _joining, _left, _partial, _partial_timer, _side

    @cython.locals(at=Py_ssize_t)
    cpdef on_text(self, bytes data)
