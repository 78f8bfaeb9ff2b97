"""The text of a SKU -> model, service, variant and unit: what a charge was for, where the SKU says it."""

from venice_billing._runtime.sku import Sku, split_sku

__all__ = ["Sku", "split_sku"]
