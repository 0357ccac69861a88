/** Where PyTorch is looked for, in this order; PAPO_PYTHON names the only place. */
export function pythonCandidates(): readonly string[] {
  const named = process.env.PAPO_PYTHON
  return named === undefined ? ['python3', '/usr/bin/python3'] : [named]
}
