"""
From raw sources to a pre-training corpus, after the paper's section 3.2: StackExchange dumps (`stackexchange`),
notebooks and files (`folders`), programs out of their blocks (`programs`), and the datatrove steps (`steps`).
"""
