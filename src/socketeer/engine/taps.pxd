from socketeer.engine.emitter cimport Emitter

cdef class Tappable(Emitter):
    cdef public object outgoing, _watcher
