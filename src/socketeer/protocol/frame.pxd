cdef object _SHORT_TEXT
