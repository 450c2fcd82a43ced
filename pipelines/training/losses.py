"""The losses, one function each.

B groups or queries, C candidates, D embedding width. What learns from a teacher's order takes the
scores of a group's candidates best first and gives one value a group.
"""

import torch
import torch.nn.functional as F


def bradley_terry(scores_BC: torch.Tensor, temperature: float) -> torch.Tensor:
    """Negative log-likelihood of a teacher's order under Bradley-Terry, a mean over pairs.

    L = -mean_{i<j} log sigmoid(tau * (s_i - s_j)), candidates best first (Bradley and Terry 1952;
    arXiv 2510.12014 sums where this takes the mean, which makes the learning rate independent of
    the group size). Equal scores give ln 2 whatever tau.

    Args:
        scores_BC: Scores of each group's candidates in the teacher's order, best first.
        temperature: tau; cosines differ by a few hundredths, so about 20.

    Returns:
        (B,), at least 0.

    Raises:
        ValueError: Fewer than two candidates, or not two dimensions.
    """
    return -F.logsigmoid(temperature * _margins(scores_BC)).mean(dim=1)


def bradley_terry_sum(scores_BC: torch.Tensor, temperature: float) -> torch.Tensor:
    """The same as published, a sum over the C (C - 1) / 2 pairs: L = -sum_{i<j} log sigmoid(...).

    arXiv 2510.12014, with tau = 1. Equal scores give C (C - 1) / 2 * ln 2. Arguments, result and
    errors are those of `bradley_terry`.
    """
    return -F.logsigmoid(temperature * _margins(scores_BC)).sum(dim=1)


def plackett_luce(scores_BC: torch.Tensor, temperature: float) -> torch.Tensor:
    """Negative log-likelihood of a teacher's order, drawn one after the other without replacement.

    L = -sum_i log( exp(tau s_i) / sum_{j>=i} exp(tau s_j) ), candidates best first (Plackett 1975;
    as a ranking loss ListMLE, Xia et al., ICML 2008). Equal scores give ln C!; with two candidates
    it is `bradley_terry`. Arguments, result and errors are those of `bradley_terry`.
    """
    _refuse_no_group(scores_BC)
    logits_BC = temperature * scores_BC
    rest_BC = logits_BC.flip(1).logcumsumexp(dim=1).flip(1)
    return (rest_BC - logits_BC).sum(dim=1)


def caption_choice(
    images_BD: torch.Tensor, captions_ND: torch.Tensor, right_B: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of each picture's own caption among all N captions, a mean over pictures.

    The picture-to-text half of InfoNCE (arXiv 2103.00020), with every caption as a candidate
    instead of the batch's: a frozen text tower makes them free, and the nearest captions, which
    differ in one word, are what teaches. N indistinguishable captions give ln N. In distillation
    it is the retention term, which keeps literal search intact.

    Args:
        images_BD: Unit vectors of pictures.
        captions_ND: Unit vectors of the distinct captions.
        right_B: Which caption is each picture's own, in [0, N).
        scale: Inverse temperature of the softmax, a positive scalar.

    Returns:
        A scalar, at least 0.
    """
    return F.cross_entropy(scale * images_BD @ captions_ND.T, right_B)


def picture_choice(
    images_ND: torch.Tensor, captions_CD: torch.Tensor, right_N: torch.Tensor, scale: float
) -> torch.Tensor:
    """Cross-entropy of each caption's own pictures among all N pictures, for each caption.

    The text-to-picture half. Where captions are few, pictures may all keep the right caption and
    yet one picture of another caption lie nearer to it than its own do. Several pictures may have
    one caption: each of them is right, and the loss is the mean over them (as the supervised
    contrast L_out of arXiv 2004.11362). N indistinguishable pictures give ln N.

    Args:
        images_ND: Unit vectors of pictures.
        captions_CD: Unit vectors of distinct captions.
        right_N: Which caption is each picture's own; a number outside [0, C) is none of them.
        scale: Inverse temperature of the softmax.

    Returns:
        (C,), at least 0; 0 for a caption that no picture has.
    """
    own_CN = right_N == torch.arange(len(captions_CD), device=right_N.device)[:, None]
    log_CN = F.log_softmax(scale * captions_CD @ images_ND.T, dim=1)
    return -(log_CN * own_CN).sum(dim=1) / own_CN.sum(dim=1).clamp(min=1)


def alignment(images_BD: torch.Tensor, captions_BD: torch.Tensor) -> torch.Tensor:
    """How far pictures lie from their own captions: the mean of 1 - cosine.

    Half the alignment loss of arXiv 2005.10242 (alpha = 2), whose squared distance of unit vectors
    is 2 - 2 cosine. Unlike `caption_choice` it leaves no room for what no caption says.

    Args:
        images_BD: Unit vectors of pictures.
        captions_BD: Unit vectors of their captions, row for row.

    Returns:
        A scalar in [0, 2].
    """
    return 1 - (images_BD * captions_BD).sum(dim=-1).mean()


def refuse_not_finite(loss: torch.Tensor, step: int, learning_rate: float) -> None:
    """Stop before such a step does harm.

    Raises:
        FloatingPointError: The loss is not finite; the message says what to turn down.
    """
    if not loss.isfinite():
        msg = (
            f"the loss of step {step} is {loss.item()}; lower the learning rate"
            f" (now {learning_rate}) or use compute.precision: fp32"
        )
        raise FloatingPointError(msg)


def _margins(scores_BC: torch.Tensor) -> torch.Tensor:
    """s_i - s_j of every pair i < j, (B, C (C - 1) / 2)."""
    _refuse_no_group(scores_BC)
    count = scores_BC.shape[1]
    better, worse = torch.triu_indices(count, count, offset=1, device=scores_BC.device)
    return scores_BC[:, better] - scores_BC[:, worse]


def _refuse_no_group(scores_BC: torch.Tensor) -> None:
    if scores_BC.ndim != 2 or scores_BC.shape[1] < 2:
        msg = f"got scores of shape {tuple(scores_BC.shape)}, expected (groups, candidates >= 2)"
        raise ValueError(msg)
