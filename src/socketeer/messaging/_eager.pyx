# cython: language_level=3
"""`handler_task.start` without the interpreter: the same steps, in the same order."""

from asyncio import get_running_loop
from asyncio.tasks import _current_tasks
from weakref import getweakrefcount

from socketeer.messaging.handler_task import finish, go_on, put_back, take_task, _spares as spares

from cpython.dict cimport PyDict_DelItem, PyDict_GetItem, PyDict_SetItem
from cpython.ref cimport PyObject, Py_REFCNT


cdef extern from "Python.h":
    int PyIter_Send(PyObject *, PyObject *, PyObject **) except -1
    object PyContext_CopyCurrent()
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    void Py_DECREF(PyObject *)


cdef object running_loop = get_running_loop
cdef dict current_tasks = _current_tasks
cdef list spare_tasks = spares


def start(coroutine):
    """Run `coroutine` until it waits or ends: `(task, None)` or `(None, result)`."""
    cdef PyObject *given = NULL
    cdef PyObject *before
    cdef int state = -1
    cdef bint kept
    cdef object outer = None, result = None, error = None
    loop = running_loop()
    task = spare_tasks.pop() if spare_tasks else take_task()
    task.first = coroutine
    task.home = loop
    context = PyContext_CopyCurrent()
    before = PyDict_GetItem(current_tasks, loop)
    if before is not NULL:
        outer = <object>before
    PyDict_SetItem(current_tasks, loop, task)
    PyContext_Enter(context)
    try:
        state = PyIter_Send(<PyObject *>coroutine, <PyObject *>None, &given)
    except BaseException as raised:
        error = raised
    PyContext_Exit(context)
    if outer is None:
        PyDict_DelItem(current_tasks, loop)
    else:
        PyDict_SetItem(current_tasks, loop, outer)
    if given is not NULL:
        result = <object>given
        Py_DECREF(given)
    if state == 1:
        return go_on(task, coroutine, result, loop, context)
    kept = Py_REFCNT(task) > 1 or getweakrefcount(task) > 1
    if kept or task.touched:
        return None, finish(task, kept, loop, result, error)
    task.first = None
    task.home = None
    put_back(task)
    if error is not None:
        raise error
    return None, result
