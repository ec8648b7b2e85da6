"""What a run does between preparing and testing: pretraining in the way of its method, then finetuning."""
