# cython: language_level=3
"""`handler_task.start` without the interpreter: the same steps, in the same order."""

from asyncio import get_running_loop
from asyncio.tasks import _current_tasks
from os import register_at_fork

from socketeer.messaging.handler_task import HandlerTask, finish, go_on, put_back, take_task

from cpython.dict cimport PyDict_DelItem, PyDict_GetItemWithError, PyDict_SetItem
from cpython.ref cimport PyObject


cdef extern from "Python.h":
    int PyIter_Send(PyObject *, PyObject *, PyObject **) except -1
    object PyContext_CopyCurrent()
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    void Py_DECREF(PyObject *)
    PyObject *PyThreadState_GetDict()
    PyObject *Py_False

cdef extern from "_eager.h":
    Py_ssize_t slot_offset(object)
    PyObject **slot_at(object, Py_ssize_t)
    void slot_set(object, Py_ssize_t, object)
    int is_kept(object)


cdef object ask_for_loop = get_running_loop
cdef object loop_key = "__asyncio_running_event_loop__"
cdef object known_holder = object()
cdef object known_loop = None
cdef dict current_tasks = _current_tasks
cdef object spare = None
cdef Py_ssize_t first = slot_offset(HandlerTask.first)
cdef Py_ssize_t home = slot_offset(HandlerTask.home)
cdef Py_ssize_t touched = slot_offset(HandlerTask.touched)

if first < 0 or home < 0 or touched < 0:
    raise ImportError("HandlerTask has no slots")


cdef object running_loop():
    """`asyncio.get_running_loop`, which on 3.11 asks the system for the process's id each time.

    asyncio keeps what holds the running loop in the thread's dictionary, a new one whenever a loop begins to run: as long
    as it is the same as when asyncio was asked last, so is the loop.
    """
    global known_holder, known_loop
    cdef PyObject *of_thread = PyThreadState_GetDict()
    cdef PyObject *holder = NULL
    if of_thread is not NULL:
        holder = PyDict_GetItemWithError(<object>of_thread, loop_key)
        if holder is not NULL and <object>holder is known_holder:
            return known_loop
    loop = ask_for_loop()
    known_holder, known_loop = (<object>holder, loop) if holder is not NULL else (object(), None)
    return loop


def forget_loop():
    """In a process that has been forked off, the loop of the other one does not run."""
    global known_holder, known_loop
    known_holder, known_loop = object(), None


register_at_fork(after_in_child=forget_loop)


def start(coroutine):
    """Run `coroutine` until it waits or ends: `(task, None)` or `(None, result)`."""
    global spare
    cdef PyObject *given = NULL
    cdef PyObject *before = NULL
    cdef int state = -1
    cdef bint kept
    cdef object outer = None, result = None, error = None
    loop = running_loop()
    task, spare = spare, None  # no list: one is enough unless a handler starts another
    if task is None:
        task = take_task()
    slot_set(task, first, coroutine)
    slot_set(task, home, loop)
    context = PyContext_CopyCurrent()
    if current_tasks:
        before = PyDict_GetItemWithError(current_tasks, loop)
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
    kept = is_kept(task)
    if kept or slot_at(task, touched)[0] != Py_False:
        return None, finish(task, kept, loop, result, error)
    slot_set(task, first, None)
    slot_set(task, home, None)
    if spare is None:
        spare = task
    else:
        put_back(task)
    if error is not None:
        raise error
    return None, result
