cdef object log

cdef class Emitter:
    cdef public object _listeners
