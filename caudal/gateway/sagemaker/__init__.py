"""SageMaker: training jobs by the training contract, endpoints by the hosting contract, in processes of their own."""
