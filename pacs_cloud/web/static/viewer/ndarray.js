// The views of ndarray (github.com/scijs/ndarray, MIT), which OHIF unpacks segmentations with.
// It makes a class from text for each type and number of dimensions, which the page's policy
// forbids; `relocation` has it ask for these instead. They do the same, a little slower.
{
  const isIndex = (one) => typeof one === "number" && one >= 0;

  const viewsOf = (dtype, dimension, constructors, order) => {
    const isGeneric = dtype === "generic";

    class View {
      constructor(data, shape, stride, offset) {
        this.data = data;
        this.shape = shape;
        this.stride = stride;
        this.offset = offset | 0;
      }

      get size() {
        return this.shape.reduce((product, one) => product * one, 1);
      }

      get order() {
        return order.call(this);
      }

      index(...at) {
        let index = this.offset;
        for (let axis = 0; axis < dimension; axis += 1) {
          index += this.stride[axis] * at[axis];
        }
        return index;
      }

      get(...at) {
        const index = this.index(...at);
        return isGeneric ? this.data.get(index) : this.data[index];
      }

      set(...at) {
        const index = this.index(...at);
        const value = at[dimension];
        if (isGeneric) {
          return this.data.set(index, value);
        }
        this.data[index] = value;
        return value;
      }

      hi(...at) {
        const shape = this.shape.map((one, axis) => (isIndex(at[axis]) ? at[axis] | 0 : one));
        return new View(this.data, shape, [...this.stride], this.offset);
      }

      lo(...at) {
        const shape = [...this.shape];
        let { offset } = this;
        for (let axis = 0; axis < dimension; axis += 1) {
          if (isIndex(at[axis])) {
            const from = at[axis] | 0;
            offset += this.stride[axis] * from;
            shape[axis] -= from;
          }
        }
        return new View(this.data, shape, [...this.stride], offset);
      }

      step(...by) {
        const shape = [...this.shape];
        const stride = [...this.stride];
        let { offset } = this;
        for (let axis = 0; axis < dimension; axis += 1) {
          if (typeof by[axis] === "number") {
            const step = by[axis] | 0;
            if (step < 0) {
              offset += stride[axis] * (shape[axis] - 1);
            }
            shape[axis] = Math.ceil(shape[axis] / Math.abs(step));
            stride[axis] *= step;
          }
        }
        return new View(this.data, shape, stride, offset);
      }

      transpose(...axes) {
        const from = this.shape.map((_, axis) => (axes[axis] === undefined ? axis : axes[axis] | 0));
        const along = (values) => from.map((axis) => values[axis]);
        return new View(this.data, along(this.shape), along(this.stride), this.offset);
      }

      pick(...at) {
        const shape = [];
        const stride = [];
        let { offset } = this;
        for (let axis = 0; axis < dimension; axis += 1) {
          if (isIndex(at[axis])) {
            offset = (offset + this.stride[axis] * at[axis]) | 0;
          } else {
            shape.push(this.shape[axis]);
            stride.push(this.stride[axis]);
          }
        }
        return constructors[shape.length + 1](this.data, shape, stride, offset);
      }
    }
    Object.assign(View.prototype, { dtype, dimension });
    return (data, shape, stride, offset) => new View(data, [...shape], [...stride], offset);
  };

  // Of no dimension at all: what `ndarray()` is, without an argument.
  const nothingOf = (dtype) => {
    class Nothing {
      constructor(data) {
        this.data = data;
      }
    }
    const copy = function copy() {
      return new Nothing(this.data);
    };
    Object.assign(Nothing.prototype, { dtype, dimension: -1, size: 0 });
    Object.assign(Nothing.prototype, { shape: [], stride: [], order: [], index: () => -1 });
    Object.assign(Nothing.prototype, { lo: copy, hi: copy, transpose: copy, step: copy });
    Object.assign(Nothing.prototype, { get() {}, set() {}, pick: () => null });
    return (data) => new Nothing(data);
  };

  globalThis.ndarrayConstructor = (dtype, dimension, constructors, order) =>
    dimension < 0 ? nothingOf(dtype) : viewsOf(dtype, dimension, constructors, order);
}
