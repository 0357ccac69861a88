// The loop over patches in a Python process: bench/peers/mask_numpy.py.
import { maskedChannels, maskedHeight, maskedWidth } from './masking-cases'
import type { MaskingInputs } from './masking-cases'
import { PeerProcess } from './peer-process'

export class NumpyPeer {
  private constructor(private readonly python: PeerProcess) {}

  /** The first python3 that has numpy, or why there is none. */
  static async start(): Promise<NumpyPeer | string> {
    const python = await PeerProcess.start('mask_numpy.py', 'numpy')
    return typeof python === 'string' ? python : new NumpyPeer(python)
  }

  get version(): string {
    return String(this.python.hello.numpy)
  }

  async load({ image, patchMask }: MaskingInputs): Promise<void> {
    this.python.write('image', image.data)
    this.python.write('patchMask', patchMask.data)
    const shape = [maskedHeight, maskedWidth, maskedChannels]
    await this.python.ask({ command: 'load', folder: this.python.folder, shape })
  }

  /** Milliseconds of one image, masks drawn included. */
  async run(): Promise<number> {
    return Number((await this.python.ask({ command: 'run' })).milliseconds)
  }

  /** What the loop makes of the image with our mask. */
  async result(): Promise<Buffer> {
    await this.python.ask({ command: 'result' })
    return this.python.read('out.masked')
  }

  close(): void {
    this.python.close()
  }
}
