import matplotlib
import numpy
import pandas
import scipy
import sklearn

print(numpy.__version__, pandas.__version__, scipy.__version__, matplotlib.__version__, sklearn.__version__)
