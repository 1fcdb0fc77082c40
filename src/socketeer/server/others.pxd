from socketeer.messaging.listening cimport SocketListening

cdef class Others(SocketListening):
    cdef public object id, nsp
