from socketeer.protocol.parser cimport Parser

cdef object log, Packet, EVENT

cdef class Connection:
    cdef public object session, parser, closed
    cdef public dict sockets
    cdef public Parser _parser
    cdef public object _joining, _left, _partial, _partial_timer, _side

    cpdef on_text(self, bytes data)
