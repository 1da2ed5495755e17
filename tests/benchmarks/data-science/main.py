import matplotlib as mpl
import numpy as np
import pandas as pd
import scipy
import sklearn

print(np.__version__, pd.__version__, scipy.__version__, mpl.__version__, sklearn.__version__)
