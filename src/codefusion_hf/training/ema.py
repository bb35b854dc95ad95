"""The moving average of the weights, on one device or sharded."""

from contextlib import contextmanager

import torch
from torch.distributed.tensor import DTensor, distribute_tensor


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be sharded over processes (then all of them must call this), whole."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _local(tensor: torch.Tensor) -> torch.Tensor:
    # This process's shard, which shares its memory with the DTensor.
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


class EMA:
    """
    Exponential moving average of the parameters, in fp32 and sharded as they are, with the usual warm-up of the
    decay: early weights are forgotten.

    Args:
        model (`torch.nn.Module`): Source of the parameters; if it is to be sharded, after that.
        decay (`float`): Share of the average that stays, per step.

    Raises:
        ValueError: for a decay outside of [0, 1).
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"`ema_decay` must be in [0, 1), got {decay}")
        self.decay, self.step = decay, 0
        self.shadow = {
            name: parameter.detach().float().clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Moves the average towards the model's parameters."""
        self.step += 1
        weight = 1 - min(self.decay, (1 + self.step) / (10 + self.step))
        parameters = dict(model.named_parameters())
        shadows = [_local(shadow) for shadow in self.shadow.values()]
        torch._foreach_lerp_(shadows, [_local(parameters[name].detach()).float() for name in self.shadow], weight)

    @contextmanager
    @torch.no_grad()
    def applied(self, model: torch.nn.Module):
        """Within this context the model has the averaged weights, and is in evaluation mode."""
        parameters, training = dict(model.named_parameters()), model.training
        kept = {name: _local(parameters[name].detach()).clone() for name in self.shadow}
        for name, average in self.shadow.items():
            _local(parameters[name].detach()).copy_(_local(average))
        model.eval()
        try:
            yield model
        finally:
            for name, value in kept.items():
                _local(parameters[name].detach()).copy_(value)
            model.train(training)

    def state_dict(self) -> dict:
        """For `accelerator.save_state`, whole: the number of processes may change. All processes must call it."""
        return {"step": self.step, "shadow": {name: full_tensor(value) for name, value in self.shadow.items()}}

    @torch.no_grad()
    def load_state_dict(self, state: dict) -> None:
        """For `accelerator.load_state`."""
        self.step = state["step"]
        for name, value in state["shadow"].items():
            shadow = self.shadow[name]
            value = value.to(shadow.device)
            if isinstance(shadow, DTensor):
                value = distribute_tensor(value, shadow.device_mesh, shadow.placements)
            _local(shadow).copy_(_local(value))


def scalars_to_vectors(model: torch.nn.Module) -> None:
    """Gives scalar parameters one dimension: torch's `fully_shard` takes no others. [`full_state_dict`] undoes it."""
    model.scalar_names = [name for name, parameter in model.named_parameters() if parameter.ndim == 0]
    for name in model.scalar_names:
        module, _, attribute = name.rpartition(".")
        module, parameter = model.get_submodule(module), model.get_parameter(name)
        vector = torch.nn.Parameter(parameter.detach().reshape(1), requires_grad=parameter.requires_grad)
        setattr(module, attribute, vector)


def full_state_dict(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """
    The model's weights for `save_pretrained`. If they are sharded, all processes must call this, and the first one
    gets them whole and on CPU.
    """
    if not any(isinstance(parameter, DTensor) for parameter in model.parameters()):
        return model.state_dict()
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    scalars = getattr(model, "scalar_names", ())
    return {name: weight.reshape(()) if name in scalars else weight for name, weight in weights.items()}
