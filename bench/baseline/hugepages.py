#!/usr/bin/env python3
"""Hugepages for DPDK: some more while we run, and those given back; what others have is never touched."""
import time
PATH = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages'

def count():
    return int(open(PATH).read())

def change(by):
    """add `by` pages (or take -by away); returns by how many the count changed"""
    before = count()
    open(PATH, 'w').write(str(max(0, before + by)))
    return count() - before

class Hugepages:
    """with Hugepages(n): n more 2 MiB pages, or an error"""
    def __init__(self, pages):
        self.pages, self.got = pages, 0

    def __enter__(self):
        for _ in range(5):                     # memory is compacted meanwhile
            self.got += change(self.pages - self.got)
            if self.got >= self.pages: return self
            time.sleep(.5)
        self.__exit__()
        raise SystemExit('no %d hugepages of 2 MiB to be had' % self.pages)

    def __exit__(self, *_):
        if self.got > 0: change(-self.got)
        self.got = 0
