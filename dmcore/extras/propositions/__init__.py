"""Propositions 1 and 2 (§3.1, Appendices E and F): what a regulariser does to a trained net, from its gradient alone.

θ̂ is a minimum of the base loss L, H its curvature there. For small λ the minimum of L + λR is

    θ*(λ) = θ̂ − λ H⁻¹∇R(θ̂) + O(λ²)                                                            (Proposition 1)

and training with R₁ lowers L + λR₂ below its value at θ̂ if and only if

    ‖∇R₁ − ∇R₂‖ < ‖∇R₂‖   with ‖a‖² = aᵀH⁻¹a                                                  (Proposition 2)

So regularisers can be ranked by the distance of their gradient to a target's, without training with any of them.

H⁻¹ is always (H + γI)⁻¹ here. A net has far more weights than L has curved directions, so that H has no inverse.
H + γI is the curvature of L(θ) + ½γ‖θ − θ̂‖²: the damping γ describes a training that is held near θ̂. For a net trained
to the minimum of L + ½γ‖θ‖² (weight decay) it is no approximation, as this has the same curvature.
"""
