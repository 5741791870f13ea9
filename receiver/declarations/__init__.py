"""What is declared: IVRs, actions, limits, destinations, and what a call flow looks like."""
