"""How an app is served: connections, workers, and who watches over them.

- `server`: uvicorn, set up for callbacks
- `listening`: sockets, TLS, descriptors
- `accepting`: who is let in
- `room`: how many
- `connections`: what they may send
- `timed`: how long it may take
- `framing`: how a request must look
- `joining`: head and body in one packet
- `roundtrips`: what the way costs
- `supervising`: workers, replaced and exchanged
- `working`: one of them
- `watchdog`: who answers while a loop is stuck
- `passing`: connections for another worker
"""
