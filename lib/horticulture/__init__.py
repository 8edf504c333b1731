"""A study of pruning: is a pruned network worth its weights, or only its shape?"""
