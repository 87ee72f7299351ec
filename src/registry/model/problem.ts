/** Why an object, or a part of one, has no effect; shown in its status and on the debug pages. */
export interface Problem {
  /** The object, as `Service shop/cart`. */
  readonly object: string;
  /** Where it was read, as `shop/cart.yaml:12`; empty if it came from an API server. */
  readonly origin: string;
  /** The field, as `spec.ports[0].port`; empty if the whole object. */
  readonly field: string;
  /** One sentence that says what is wrong and what would be right. */
  readonly message: string;
  readonly severity: "error" | "warning" | "info";
}
