"""The right bank: typed clients of outside services, and the one gate through which every call passes."""
