const [firstDecay, secondDecay] = [0.9, 0.99]

/** Adam (Kingma and Ba 2014) over one flat array of parameters. */
export class Adam {
  private readonly mean: Float32Array
  private readonly square: Float32Array
  private steps = 0

  constructor(
    size: number,
    private readonly learningRate: number,
  ) {
    this.mean = new Float32Array(size)
    this.square = new Float32Array(size)
  }

  /** Changes the parameters, and zeroes the gradient for the next step. */
  step(parameters: Float32Array, gradient: Float32Array): void {
    const { mean, square } = this
    this.steps++
    const correction = Math.sqrt(1 - secondDecay ** this.steps) / (1 - firstDecay ** this.steps)
    const rate = this.learningRate * correction
    for (let i = 0; i < parameters.length; i++) {
      const g = gradient[i]!
      mean[i] = firstDecay * mean[i]! + (1 - firstDecay) * g
      square[i] = secondDecay * square[i]! + (1 - secondDecay) * g * g
      parameters[i]! -= (rate * mean[i]!) / (Math.sqrt(square[i]!) + 1e-8)
    }
    gradient.fill(0)
  }
}
