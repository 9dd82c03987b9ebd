"""Reading and writing structures as files and as JSON documents."""
