"""Declarations: IVRs, actions, limits, destinations, and the call flow that they describe."""
