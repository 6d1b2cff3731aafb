"""One property a file: a function of atoms and any ASE calculator, giving a frozen result."""
