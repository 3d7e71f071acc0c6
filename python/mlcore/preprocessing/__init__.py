"""Feature transforms: scikit-learn's names and results, lowered to steps that fold into a compiled model."""
