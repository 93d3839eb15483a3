"""Threads for work that waits for the network or runs in C."""

import concurrent.futures


def each(function, items, workers, cancelled, wait=True):
    """Results of function(item), in order.

    At the first error, or Ctrl-C, the event `cancelled` is set, which the function
    should look at, what was not begun is dropped, and the error raised; before that,
    with `wait`, what was begun has ended."""
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    tasks = [pool.submit(function, item) for item in items]
    try:
        for task in concurrent.futures.as_completed(tasks):
            task.result()
    except BaseException:
        cancelled.set()
        pool.shutdown(wait, cancel_futures=True)
        raise
    pool.shutdown()
    return [task.result() for task in tasks]
