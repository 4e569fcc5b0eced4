"""Where a cell is measured: in a process of its own on this machine, or in the pytest process (`inline`)."""
