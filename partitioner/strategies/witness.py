from __future__ import annotations
import os
import numpy as np
MOST_C=int(os.environ.get("MOSTC","60")); MOST_H=3000
def witness(problem, known, beliefs, bar, allowed, k, seed=0):
    """Index into beliefs.segments of the segment to measure."""
    from partitioner.solving import on_some_path
    segs=beliefs.segments
    hopeful=beliefs.lower<bar
    sub=segs.where(hopeful)
    onp=on_some_path(sub,k,allowed)
    idx=np.flatnonzero(hopeful)[onp]
    inf=known._infer(); kr=inf.kriging; b=inf.bounds
    if b.kriging is None: return None
    sig=b.guard.model_sigmas
    f,e=segs.first[idx],segs.end[idx]
    mean,sd=kr.at(f,e)
    un=np.array(beliefs.lower[idx]<beliefs.upper[idx])
    cand=(mean>=bar)&un
    H=idx[cand]
    if len(H)==0: return None
    f,e,mean,sd=f[cand],e[cand],mean[cand],sd[cand]
    if len(H)>MOST_H:
        pick=np.linspace(0,len(H)-1,MOST_H).astype(int)
        H,f,e,mean,sd=H[pick],f[pick],e[pick],mean[pick],sd[pick]
    C=np.arange(len(H))
    # candidates: the fastest expected, and a spread
    if len(C)>MOST_C:
        order=np.argsort(mean,kind='stable')
        C=np.unique(np.concatenate([order[:MOST_C//2], order[np.linspace(0,len(order)-1,MOST_C//2).astype(int)]]))
    cov=kr.covariance(f,e,f[C],e[C])
    noise=known.basis.noise if known.basis else 0.002
    vx=sd[C]**2
    left=np.sqrt(np.maximum(sd[:,None]**2-cov**2/vx[None,:],(noise*mean[:,None])**2))
    z0=np.minimum(1.0,(mean-bar)/np.maximum(sd,1e-9)/sig)
    z1=np.minimum(1.0,(mean[:,None]-bar)/np.maximum(left,1e-9)/sig)
    # by parts
    feats=known._features
    rates=kr.boundary_rates
    own=feats.boundary_columns(f,e)@np.maximum(rates,0)
    for n,c in enumerate(C):
        around=problem.places.around(segs.where_index(H) if hasattr(segs,'where_index') else _sub(segs,H),int(f[c]),int(e[c]))
        low=(own+(mean[c]-own[c]))*(1-b.margin)
        z1[:,n]=np.where(around&(low>=bar),1.0,z1[:,n])
        z1[c,n]=1.0
    score=(z1-z0[:,None]).sum(axis=0)
    return int(H[C[int(np.argmax(score))]])
def _sub(segs,H):
    from partitioner.problem import Segments
    return Segments(segs.num_places,segs.first[H],segs.end[H])
