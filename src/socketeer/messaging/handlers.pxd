cimport cython

cdef object log

cdef class Signature:
    cdef public object ack_at, ack_name, conversions, maximum, ours, parameters, plain, required
    cdef public Py_ssize_t exactly, converted
    cdef public bint is_async, takes_ack

cdef class Handler:
    cdef public object function, once
    cdef public Signature signature

@cython.final
cdef class HandlerTable:
    cdef public dict _table
    cdef public bint _once

    cpdef tuple get(self, event)
    cpdef tuple take(self, event)
