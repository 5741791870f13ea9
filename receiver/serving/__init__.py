"""How the app is served: connections, worker processes, and who watches over them."""
