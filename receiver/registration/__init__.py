"""What is declared against what a PBX has: compared, planned, applied, checked."""
