"""The paper's figures. Each module has ``draw``, which makes a figure, and ``write``, which makes its files."""
