"""The contract suite: do the committed client and facade serve the contract at VENICE_CONTRACT?"""
