"""One model tried from start to end in a sandbox that is thrown away."""
