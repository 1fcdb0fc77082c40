from socketeer.messaging.handlers cimport HandlerTable

cdef class Listening:
    pass

cdef class CatchAlls(Listening):
    pass

cdef class SocketListening(CatchAlls):
    cdef public HandlerTable _handlers
    cdef public object _watch
