cdef object log
cdef Py_ssize_t _AT_ONCE

cdef class Timer:
    cdef public object callback, tick

cdef class TimerWheel:
    cdef public object time, _clock, _wake_up
    cdef public dict _buckets
    cdef public list _ticks
    cdef public object _next

    cpdef set(self, timer, double delay, Py_ssize_t grain=*)
    cpdef clear(self, timer)

cdef class Patience:
    cdef public TimerWheel wheel
    cdef public double _delay
    cdef public object _late
    cdef public dict _due
    cdef public Timer _timer

    cpdef begin(self, one)
    cpdef end(self, one)
