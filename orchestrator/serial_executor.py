"""TEMPORARY."""
import importlib, time
from orchestrator.executor import *
class SerialExecutor:
    slots = 1
    def __init__(self, settings): self.q=[]
    def start(self): pass
    def submit(self, call): self.q.append((call,time.time()))
    def next_reply(self, timeout):
        if not self.q: return None
        call,s=self.q.pop(0); t=time.time()
        try: v=self._f(call.function)(call.payload, CallContext(None if call.time_limit is None else t+call.time_limit)); return Reply(call.id,v,None,"ok",s,t,time.time())
        except Exception as e: return Reply(call.id,None,repr(e),"error",s,t,time.time())
    def _f(self, n):
        m,_,a=n.partition(":"); return getattr(importlib.import_module(m),a)
    def progress(self): return {}
    def map(self, function, payloads):
        for p in payloads: yield self._f(function)(p, CallContext())
    def shutdown(self): pass
