cdef tuple _SHORT_TEXT
cdef Py_ssize_t _SHORT

cpdef text_message(bytes text, object compress=*)
